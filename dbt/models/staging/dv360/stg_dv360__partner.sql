with

source as (

    select * from {{ source('dv360', 'partner') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        partner_id,

        -- attributes
        display_name as partner_name,
        entity_status,
        name as resource_name,
        update_time as updated_at,

        -- flattened from records
        general_config.currency_code as currency_code,
        general_config.time_zone as time_zone,

        -- records and lists, as they came
        ad_server_config,
        billing_config,
        data_access_config,
        exchange_config,
        general_config,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
