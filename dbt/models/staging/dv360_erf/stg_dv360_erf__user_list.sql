with

source as (

    select * from {{ source('dv360_erf', 'user_list') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as user_list_id,
        data_partner_id,

        -- attributes
        {{ text('name') }} as user_list_name,

        -- records and lists, as they came
        accessing_advertisers as accessing_advertiser_ids,
        partner_pricing,
        advertiser_pricings,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
