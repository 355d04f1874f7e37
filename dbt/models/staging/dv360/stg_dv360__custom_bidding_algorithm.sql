with

source as (

    select * from {{ source('dv360', 'custom_bidding_algorithm') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        custom_bidding_algorithm_id,
        advertiser_id,
        partner_id,

        -- attributes
        custom_bidding_algorithm_type,
        display_name as custom_bidding_algorithm_name,
        entity_status,
        name as resource_name,
        third_party_optimization_partner,

        -- records and lists, as they came
        model_details,
        shared_advertiser_ids,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
