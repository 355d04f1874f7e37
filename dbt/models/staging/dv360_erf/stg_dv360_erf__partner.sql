with

source as (

    select * from {{ source('dv360_erf', 'partner') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        common_data.id as partner_id,

        -- attributes
        {{ text('common_data.name') }} as partner_name,
        common_data.active as is_active,
        {{ text('common_data.integration_code') }} as integration_code,
        {{ text('currency_code') }} as currency_code,

        -- records and lists, as they came
        exchange_settings,
        default_partner_costs,
        default_partner_revenue_model,
        default_target_list,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
